import assert from 'node:assert/strict'
import test from 'node:test'
import { bytesText, durationText, momentText, wrap } from '../../src/daemon/units.ts'

const sizes: [number, string][] = [
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1000, '1.0 kB'],
  [12_345_678, '12.3 MB'],
  [123_456_789_012, '123 GB'],
  [1e16, '10000 TB'],
]

test('sizes read as people say them', () => {
  for (const [bytes, text] of sizes) assert.equal(bytesText(bytes), text)
})

const durations: [number, string][] = [
  [-5, '0 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7199, '119 min'],
  [7200, '2 h'],
  [7500, '2 h 5 min'],
  [172_800, '2 d'],
  [180_000, '2 d 2 h'],
]

test('durations read as people say them, and a clock that stepped back makes none negative', () => {
  for (const [seconds, text] of durations) assert.equal(durationText(seconds * 1000), text)
})

test('a moment of another day has its date', () => {
  const now = new Date(2025, 0, 25, 0, 10).getTime()
  assert.equal(momentText(new Date(now - 60_000).toISOString(), now), '00:09:00')
  assert.equal(momentText(new Date(now - 900_000).toISOString(), now), '2025-01-24 23:55:00')
})

test('no line is longer than it may be: a text is broken at spaces, a long word anywhere', () => {
  assert.deepEqual(wrap('short', 10, 2), ['short'])
  assert.deepEqual(wrap('one two three four', 9, 2), ['one two', '  three', '  four'])
  assert.deepEqual(wrap('one /very/long/path b', 9, 2), ['one', '  /very/l', '  ong/pat', '  h b'])
  assert.deepEqual(wrap('/only/one/path', 9, 2), ['/only/one', '  /path'])
  assert.deepEqual(wrap('/too/deep', 6, 9), ['/too/d', '   eep'])
  assert.deepEqual(wrap('/only/one path', 9, 2), ['/only/one', '  path'])
})
