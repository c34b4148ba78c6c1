-- Gives a history that has no message yet its epoch; returns the epoch that it has.
-- KEYS: the stream, its position.  ARGV: the epoch of a history that begins, seconds to keep the position
if redis.call('HSETNX', KEYS[2], 'epoch', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[2], 'offset', 0)
  redis.call('EXPIRE', KEYS[2], ARGV[2])
  redis.call('DEL', KEYS[1])
end
return redis.call('HGET', KEYS[2], 'epoch')
