-- KEYS[1]  entitlement:<account>
-- ARGV     1 the order of the knowledge that there is nothing to publish
--          2 the schema  3 a value that was found to be forged, or nothing
--          4 "1" to be given what was left there
-- Returns  {what was done[, what was there]}
local old = held(KEYS[1])
if old == nil then return {'wrong_type'} end
if not old then return {'withdrawn'} end

local schema, order = ending(old)
local outcome
if old ~= ARGV[3] and schema then
  if schema > tonumber(ARGV[2]) then outcome = 'newer_schema'
  elseif compare(ARGV[1], order) < 0 then outcome = 'older' end
end
if not outcome then
  redis.call('DEL', KEYS[1])
  return {'withdrawn'}
end
if ARGV[4] == '1' then return {outcome, old} end
return {outcome}
