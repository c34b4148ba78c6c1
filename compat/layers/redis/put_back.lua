-- Puts a message that was taken out of a plain channel, and that nobody wants after all, back at its old place.
-- KEYS: queue, in flight, times at which ours were taken
-- ARGV: score, member, expiry in s
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
