-- Take out of a group. ARGV: prefix, id, group. Returns 1 if it was a member.
return elsewhere({GROUPS, P .. 'group:' .. ARGV[3], P .. 'in:' .. ARGV[2]}) or leave(ARGV[2], ARGV[3])
