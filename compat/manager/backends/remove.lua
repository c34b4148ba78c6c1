-- Forget connections. ARGV: prefix, then their ids. Returns how many were known.
local removed = 0
for index = 2, #ARGV do
  removed = removed + forget(ARGV[index])
end
return removed
