-- Makes the consumer group of a plain channel, unless it is there.
-- KEYS: the stream.  ARGV: the group, life of the stream in s
redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
redis.call('EXPIRE', KEYS[1], ARGV[2])
