-- Takes the connections of a dead process out of some of the people of a group.
-- KEYS: the people, the topic, the last version, the least one
-- ARGV: the command to publish with, seconds to keep the people, the server, the process, the keys of the people
local joins, leaves = {}, {}
for i = 5, #ARGV do
  local person, mine = person_of(KEYS[1], ARGV[i]), {}
  for channel, entry in pairs(person) do
    if entry[1] == ARGV[4] then mine[#mine + 1] = channel end
  end
  if #mine > 0 then
    local before = shown(person)
    for _, channel in ipairs(mine) do person[channel] = nil end
    write(KEYS[1], ARGV[i], person, before, joins, leaves)
  end
end
publish(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], ARGV[3], joins, leaves)
return #joins + #leaves
