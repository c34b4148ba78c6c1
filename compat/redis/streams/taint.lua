-- Notes that a message which is not in a history has come after its last one; returns the place that is not known.
-- KEYS: its position.  ARGV: seconds to keep the position
local last = redis.call('HGET', KEYS[1], 'offset')
if not last then return 0 end
redis.call('HSET', KEYS[1], 'tainted', last + 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return last + 1
