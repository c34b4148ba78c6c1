-- Appends a message to a history, and publishes it with its position in front. Returns how many connections have
-- got it.
-- KEYS: the stream, its position (a hash that outlives the stream), the topic
-- ARGV: the message, entries to keep, seconds to keep them, seconds to keep the position, the epoch of a history that
--       begins, the command to publish with
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[5]
  redis.call('HSET', KEYS[2], 'epoch', epoch)
  redis.call('DEL', KEYS[1])
end
local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], offset .. '-0', 'm', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return redis.call(ARGV[6], KEYS[3], string.format('%016.0f', offset) .. epoch .. ARGV[1])
