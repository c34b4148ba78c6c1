-- Begins another epoch for a history that has gone back: another Redis has taken over, without the last messages.
-- The messages that are there stay, so they have their places in the new epoch.
-- KEYS: its position.  ARGV: the epoch that has gone back, the new one
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'before', ARGV[1])
end
return 1
