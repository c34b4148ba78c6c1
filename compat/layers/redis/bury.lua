-- Moves a message that no worker could handle to the dead letters, and returns 1; 0 if it is not pending any more.
-- KEYS: the stream, the dead letters.  ARGV: group, id, seconds to keep the dead letters, dead letters to keep
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
redis.call('XDEL', KEYS[1], ARGV[2])
if not entry then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', unpack(entry[2]))
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
