-- Prolongs the lease of one process. Returns {what it was: 0 in force, 1 run out, 2 not there; leases that have run
-- out...}.
-- KEYS: leases, the groups of the process
-- ARGV: client prefix, seconds that its lease lasts from now, life of the keys in s, leases to return at most
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.6f', now + tonumber(ARGV[2])), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.6f', now), 'LIMIT', 0, ARGV[4])
return {not ends and 2 or tonumber(ends) < now and 1 or 0, unpack(ended)}
