-- Takes a connection out of the people of a group; returns {0 if that is to be repeated, because it is the person's
-- last one and may be replaced, the version}.
-- KEYS: the people, the topic, the groups of the process, the last version, the least one
-- ARGV: the command to publish with, seconds to keep the people, the server, the group, the person's key, the channel,
--       'soon', 'later' or 'now', 1 if the process has no other connection in the group
local key, channel, how = ARGV[5], ARGV[6], ARGV[7]
local person = person_of(KEYS[1], key)
local entry = person[channel]
if entry and how == 'later' and entry[3] == 0 then return {1, 0} end
local version = 0
if entry then
  local before = shown(person)
  person[channel] = nil
  local _, others = shown(person)
  if how == 'soon' and not others then
    entry[3] = 1
    person[channel] = entry
    redis.call('HSET', KEYS[1], 'k:' .. key, cjson.encode(person))
    return {0, 0}
  end
  local joins, leaves = {}, {}
  write(KEYS[1], key, person, before, joins, leaves)
  version = publish(KEYS[1], KEYS[2], KEYS[4], KEYS[5], ARGV[1], ARGV[2], ARGV[3], joins, leaves)
end
if ARGV[8] == '1' then redis.call('SREM', KEYS[3], ARGV[4]) end
return {1, version}
