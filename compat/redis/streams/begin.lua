-- Gives a history that has no message yet its epoch; returns the epoch that it has.
-- KEYS: its position.  ARGV: the epoch of a history that begins, seconds to keep the position
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'offset', 0)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HGET', KEYS[1], 'epoch')
