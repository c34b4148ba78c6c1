-- Add to a group. ARGV: prefix, id, group, limit of groups (-1: none), expiry in seconds.
-- Returns 1 for a new member, 0 for one that was a member already, -1 for one group too many.
local _, id, group, limit, expiry = unpack(ARGV)
local away = elsewhere({GROUPS, P .. 'group:' .. group, P .. 'in:' .. id})
if away then
  return away
end
if redis.call('SISMEMBER', P .. 'group:' .. group, id) == 1 then
  return 0
end
if tonumber(limit) >= 0 and not redis.call('ZSCORE', GROUPS, group) and redis.call('ZCARD', GROUPS) >= tonumber(limit) then
  return -1
end
return join(id, group, expiry)
