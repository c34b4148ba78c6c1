-- Looks whether members of a process are still in their groups. Returns the numbers of the groups whose member is not.
-- A key that holds foreign data passes: rejoin.lua reports it.
-- KEYS: the groups.  ARGV: the member in each
local missing = {}
for i, key in ipairs(KEYS) do
  if not redis.pcall('ZSCORE', key, ARGV[i]) then missing[#missing + 1] = i end
end
return missing
