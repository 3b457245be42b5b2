-- KEYS[1] the lease  ARGV 1 our token  2 milliseconds
-- Returns 1 if the lease is ours and lasts longer now, 0 if it is not ours.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
