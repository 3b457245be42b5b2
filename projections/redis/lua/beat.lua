-- KEYS[1]  daybook:heartbeat
-- ARGV     1 the heartbeat  2 its order  3 its moment, Unix milliseconds
--          4 by how many milliseconds that may differ from our clock
--          5 after how many milliseconds a heartbeat counts as silent
--          6 a value that was found to be forged and is to go, or nothing
-- Returns  {what was done, our clock in Unix milliseconds[, what was there]}
local now = clock()
if math.abs(tonumber(ARGV[3]) - now) > tonumber(ARGV[4]) then return {'skewed', now} end

local function write(outcome, old)
  redis.call('SET', KEYS[1], ARGV[1])
  return {outcome, now, old}
end

local old = held(KEYS[1])
if old == nil then return {'wrong_type', now} end
if not old then return write('first') end
if old == ARGV[6] then return write('replaced', old) end
local _, order = ending(old)
if not order then return write('replaced', old) end

-- A heartbeat that is silent, or from the future, defends nothing.
local silence = now - tonumber(string.sub(order, 23, 33), 36) / 1000
local alive = silence <= tonumber(ARGV[5]) and silence >= -tonumber(ARGV[4])
local same = string.sub(order, 1, 9) == string.sub(ARGV[2], 1, 9)
if not same then
  if alive then return {'occupied', now, old} end
  return write('taken_over', old)
end
if compare(ARGV[2], order) >= 0 then return write('beaten', old) end
if alive then return {'behind', now, old} end
return write('taken_over', old)
