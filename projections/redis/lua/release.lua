-- KEYS[1] the lease  ARGV 1 our token
-- Returns 1 if the lease was ours and is no more, 0 if it was not ours.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
