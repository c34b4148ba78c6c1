-- Notes that a message, which a blocking pop took out of a plain channel, is in flight.
-- KEYS: in flight, times at which ours were taken, the plain channels that were used
-- ARGV: score, member, channel, expiry in s
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], 86400)
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[3], redis.call('TIME')[1], ARGV[3])
redis.call('EXPIRE', KEYS[3], 86400)
