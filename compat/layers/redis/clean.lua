-- Takes a dead process out of some of its groups, a part at a time, so that Redis is not held for long.
-- Returns {groups that are clean, cursor in the next one}, or {} if the process lives or has been removed.
-- KEYS: leases, the groups of the process, then for each group: its members, its census
-- ARGV: the lease, the cursor in the first group, members to look at, then for each group: its name
local time = redis.call('TIME')
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) >= tonumber(time[1]) then return {} end
local left, cursor, its = tonumber(ARGV[3]), ARGV[2], '.' .. ARGV[1] .. '!'
for i = 4, #ARGV do
  local members, census = KEYS[2 * i - 5], KEYS[2 * i - 4]
  local fields = redis.pcall('HKEYS', census)
  local cost = 20 + #fields
  for _, field in ipairs(fields) do -- first: what is not counted is looked for
    if string.find(field, its, 1, true) then redis.call('HDEL', census, field) end
  end
  repeat
    if left <= 0 then return {i - 4, cursor} end
    local size = redis.pcall('ZCARD', members)
    if type(size) == 'table' then break end -- its key holds foreign data
    left, cost = left - cost - math.min(size, 200), 20
    local found = redis.call('ZSCAN', members, cursor, 'MATCH', '*' .. its .. '*', 'COUNT', 200)
    for j = 1, #found[2], 2 do redis.call('ZREM', members, found[2][j]) end
    cursor = found[1]
  until cursor == '0'
  cursor = '0'
  redis.call('SREM', KEYS[2], ARGV[i])
end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return {#ARGV - 3, '0'}
