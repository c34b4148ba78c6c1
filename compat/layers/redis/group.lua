-- Makes the consumer group of a plain channel, unless it is there; looks first, because a Redis without memory refuses.
-- Forgets the workers that have no message, and were not heard of for a stream's life: each process has a new name.
-- KEYS: the stream.  ARGV: the group, life of the stream in s
local found = false
for _, group in ipairs(redis.pcall('XINFO', 'GROUPS', KEYS[1])) do found = found or group[2] == ARGV[1] end
if not found then redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM') end
redis.call('EXPIRE', KEYS[1], ARGV[2])
for _, worker in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local name, pending, idle_ms = worker[2], worker[4], worker[6]
  if pending == 0 and idle_ms >= ARGV[2] * 1000 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name) end
end
