-- Returns the version on which those of all groups follow, before the people of a group are read.
-- KEYS: the least version.  ARGV: the server, seconds to keep it
return floor_of(KEYS[1], ARGV[1], ARGV[2])
