-- KEYS[1] the lease  ARGV 1 our token  2 milliseconds
-- Returns 1 if the lease is ours and lasts longer now, 0 if it is not ours. One
-- that is gone, as from a server that was emptied, and that nobody took, is ours
-- again: the work goes on.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
