-- Adds a connection to the people of a group, or changes what is told of it; returns the version, -1 if the
-- person has too many, or -2 if the process has no lease any more: it has been taken out.
-- KEYS: the people, the topic, the groups of the process, the processes by the end of their leases,
--       the last version
-- ARGV: the command to publish with, seconds to keep the people, the process, the group, the person's key, the channel,
--       1 if it is away, its meta, the most connections of a person, ms that a new lease lasts, 1 for a process that
--       gets its first one
local key, channel = ARGV[5], ARGV[6]
local now = now_ms()
if ARGV[11] == '1' then
  redis.call('ZADD', KEYS[4], 'NX', string.format('%.0f', now + ARGV[10]), ARGV[3])
elseif not redis.call('ZSCORE', KEYS[4], ARGV[3]) then
  return -2
end
local person = person_of(KEYS[1], key)
local before, old, count = shown(person), person[channel], 0
for other, entry in pairs(person) do
  if entry[3] == 1 then person[other] = nil else count = count + 1 end
end
if not old and count >= tonumber(ARGV[9]) then return -1 end
person[channel] = {ARGV[3], tonumber(ARGV[7]), 0, ARGV[8], old and old[5] or now}
local joins, leaves = {}, {}
write(KEYS[1], key, person, before, joins, leaves)
local version = publish(KEYS[1], KEYS[2], KEYS[5], ARGV[1], ARGV[2], joins, leaves)
redis.call('SADD', KEYS[3], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return version
