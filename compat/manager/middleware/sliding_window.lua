-- At most so many entries in a window that slides, and at most so many of them in its last second.
-- KEYS: the window, a sorted set of entries by the time they came, in microseconds of this server's clock.
-- ARGV: limit, window in microseconds, limit in any second, what makes this entry unlike any other.
-- Returns {1, entries left} or {0, microseconds until the next entry would be let in}.
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local limit, window, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at - window)
-- what is later than now came before the clock was set back, and would count for as long again
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', at), '+inf')
local held = redis.call('ZCARD', KEYS[1])
local free_at = 0
if held >= limit then
  -- the entry that has to go out of the window first, so that there are fewer than `limit`
  free_at = tonumber(redis.call('ZRANGE', KEYS[1], held - limit, held - limit, 'WITHSCORES')[2]) + window
end
if held >= burst then
  local nth = tonumber(redis.call('ZRANGE', KEYS[1], -burst, -burst, 'WITHSCORES')[2]) + math.min(1000000, window)
  free_at = math.max(free_at, nth)
end
if free_at > at then
  return {0, free_at - at}
end
redis.call('ZADD', KEYS[1], string.format('%.0f', at), ARGV[4])
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1000)
return {1, limit - held - 1}
