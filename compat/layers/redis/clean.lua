-- Takes a dead process out of some of its groups, a part at a time, so that Redis is not held for long.
-- Returns {groups that are clean, cursor in the next one}, or {} if the process lives or has been removed.
-- KEYS: leases, the groups of the process, then for each group: its members, its census
-- ARGV: the lease, the cursor in the first group, members to look at, the queue of the process in the census,
--       then for each group: its name
local time = redis.call('TIME')
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) >= tonumber(time[1]) then return {} end
local left, cursor = tonumber(ARGV[3]), ARGV[2]
for i = 5, #ARGV do
  local members, census = KEYS[2 * i - 7], KEYS[2 * i - 6]
  redis.pcall('HDEL', census, ARGV[4]) -- first: what is not counted is looked for
  repeat
    if left <= 0 then return {i - 5, cursor} end
    local size = redis.pcall('ZCARD', members)
    if type(size) == 'table' then break end -- its key holds foreign data
    left = left - 20 - math.min(size, 200)
    local found = redis.call('ZSCAN', members, cursor, 'MATCH', '*.' .. ARGV[1] .. '!*', 'COUNT', 200)
    for j = 1, #found[2], 2 do redis.call('ZREM', members, found[2][j]) end
    cursor = found[1]
  until cursor == '0'
  cursor = '0'
  redis.call('SREM', KEYS[2], ARGV[i])
end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return {#ARGV - 4, '0'}
