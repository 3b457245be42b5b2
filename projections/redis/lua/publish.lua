-- KEYS[1]  entitlement:<account>
-- ARGV     1 the entry  2 how many of its bytes say what the account may do
--          3 its order  4 its schema  5 valid_until and 6 as_of, Unix milliseconds
--          7 by how many milliseconds as_of may be ahead of our clock
--          8 a value that was found to be forged and is to go, or nothing
--          9 "1" to be given what was there
-- Returns  {what was done[, what was there]}; of what says the same of the
--          account only the rest, since the caller has its beginning
local value, order, schema = ARGV[1], ARGV[3], tonumber(ARGV[4])
local now = clock()
if tonumber(ARGV[5]) <= now then return {'lapsed'} end
if tonumber(ARGV[6]) > now + tonumber(ARGV[7]) then return {'skewed'} end

local function leave(outcome, old)
  if old and ARGV[9] == '1' then return {outcome, old} end
  return {outcome}
end
local function write(outcome, old)
  redis.call('SET', KEYS[1], value, 'PXAT', ARGV[5])
  return leave(outcome, old)
end

local old = held(KEYS[1])
if old == nil then return {'wrong_type'} end
if not old then return write('written') end
if old == ARGV[8] then return write('replaced') end
if old == value then return leave('renewed') end

local schema_there, order_there = ending(old)
if not schema_there then return write('replaced') end
if schema_there > schema then return leave('newer_schema', old) end
local content = string.sub(old, 1, ARGV[2]) == string.sub(value, 1, ARGV[2])
local age = compare(order, order_there)
if age < 0 or (age == 0 and not content and schema_there == schema) then return leave('older', old) end
if content then return write('renewed', string.sub(old, ARGV[2] + 1)) end
return write('written', old)
