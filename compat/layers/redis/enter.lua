-- Adds a connection to the people of a group, or changes what is told of it; returns the version, -1 if the
-- person has too many, or -2 if the process has no lease any more: it has been taken out.
-- KEYS: the people, the topic, the groups of the process, the processes by the end of their leases,
--       the last version, the least one
-- ARGV: the command to publish with, seconds to keep the people, the server, the process, the group, the person's key,
--       the channel, 1 if it is away, its meta, the most connections of a person, ms that a new lease lasts, 1 for a
--       process that gets its first one
local key, channel = ARGV[6], ARGV[7]
local now = now_ms()
if ARGV[12] == '1' then
  redis.call('ZADD', KEYS[4], 'NX', string.format('%.0f', now + ARGV[11]), ARGV[4])
elseif not redis.call('ZSCORE', KEYS[4], ARGV[4]) then
  return -2
end
local person = person_of(KEYS[1], key)
local before, old, count = shown(person), person[channel], 0
for other, entry in pairs(person) do
  if entry[3] == 1 then person[other] = nil else count = count + 1 end
end
if not old and count >= tonumber(ARGV[10]) then return -1 end
person[channel] = {ARGV[4], tonumber(ARGV[8]), 0, ARGV[9], old and old[5] or now}
local joins, leaves = {}, {}
write(KEYS[1], key, person, before, joins, leaves)
local version = publish(KEYS[1], KEYS[2], KEYS[5], KEYS[6], ARGV[1], ARGV[2], ARGV[3], joins, leaves)
redis.call('SADD', KEYS[3], ARGV[5])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return version
