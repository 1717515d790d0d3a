import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../src/daemon/clock.ts'
import type { Log } from '../../src/daemon/logger.ts'
import { FfmpegLines } from '../../src/recorder/ffmpeg-lines.ts'

test('of an FFmpeg that chatters, some lines are logged and the others counted', () => {
  const logged: string[] = []
  const debug: Log['debug'] = ({ ffmpeg, leftOut }) =>
    void logged.push(typeof ffmpeg === 'string' ? ffmpeg : `${Number(leftOut)} left out`)
  const log = { debug, info: debug, warn: debug, error: debug }
  let nowMs = 0
  const lines = new FfmpegLines('Front', {
    log,
    clock: { ...systemClock, monotonicMs: () => nowMs },
  })
  for (; nowMs < 15_000; nowMs += 10) lines.add(`line at ${nowMs}`)
  lines.finish()
  assert.equal(logged.length, 402)
  assert.deepEqual(
    [logged[199], logged[200], logged[201], logged[401]],
    ['line at 1990', '800 left out', 'line at 10000', '300 left out'],
  )
})
