-- Renews the lease of a process; returns {1 if it had one, the dead processes that the caller takes out}. If the caller
-- dies as well, a dead one is given to somebody else.
-- KEYS: the processes by the end of their leases, the dead ones by the time until which somebody takes them out
-- ARGV: the process, ms that its lease lasts (0: it needs none), ms for taking out a dead one
local now = now_ms()
local expired = '(' .. string.format('%.0f', now)
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', expired, 'LIMIT', 0, 10)) do
  redis.call('ZREM', KEYS[1], process)
  redis.call('ZADD', KEYS[2], 0, process)
end
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', expired, 'LIMIT', 0, 10)
for _, process in ipairs(dead) do
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3]), process)
end
local had = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if had == 1 and ARGV[2] ~= '0' then redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1]) end
return {had, unpack(dead)}
