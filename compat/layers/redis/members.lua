-- The members of a group whose process is not known to be dead, for senders that push by themselves.
-- KEYS: group, leases
-- ARGV: group expiry in s, then with a history the excluded channels: they are returned too if their process has a
--       lease, because it follows the history, and has to know how far that has come
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - tonumber(ARGV[1]))
local dead, follows, excluded, members = {}, {}, {}, {}
for i = 2, #ARGV do excluded[ARGV[i]] = true end
for _, channel in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local lease = string.match(channel, '([^.!]*)!') or ''
  if dead[lease] == nil then
    local ends = lease ~= '' and redis.call('ZSCORE', KEYS[2], lease)
    dead[lease] = ends and tonumber(ends) < now or false
    follows[lease] = ends
  end
  if not dead[lease] and (follows[lease] or not excluded[channel]) then members[#members + 1] = channel end
end
return members
