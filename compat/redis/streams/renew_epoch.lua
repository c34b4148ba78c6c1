-- Begins another epoch for a history that has gone back: another Redis has taken over, without the last messages.
-- The messages that are there stay, so they have their places in the new epoch.
-- KEYS: its position.  ARGV: the epoch that has gone back, the new one
local known = redis.call('HMGET', KEYS[1], 'epoch', 'before')
if known[1] == ARGV[1] then
  local before = ARGV[1] .. ' ' .. (known[2] or '')
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'before', string.sub(before, 1, 8 * 17)) -- the last eight
end
return 1
