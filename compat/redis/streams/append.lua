-- Appends a message to a history, and publishes it with its position. Returns {offset, epoch, how many connections
-- have got it}.
-- KEYS: the stream, its position (a hash that outlives the stream), the topic
-- ARGV: the message, where its position is written into it (-1: nowhere), entries to keep, seconds to keep them,
--       seconds to keep the position, the epoch of a history that begins, the command to publish with ('': none)
local offset, epoch, placed = record(KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), '', ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if ARGV[7] == '' then return {offset, epoch, 0} end
return {offset, epoch, redis.call(ARGV[7], KEYS[3], placed)}
