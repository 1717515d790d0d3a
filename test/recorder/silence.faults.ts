import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { brokenPlaces } from '../support/frame-counter.ts'
import {
  count,
  countersOf,
  ffmpegPid,
  lossAround,
  processGone,
  recordings,
  recordSeconds,
  secondsUntil,
  startRecording,
  type Recording,
} from './recordings.ts'

describe('a recording that gets no video', { concurrency: 10 }, () => {
  const stops: [string, 'silent' | 'videoStops' | 'rtpStops'][] = [
    ['a camera that falls silent', 'silent'],
    ['video that stops while sound and RTCP go on', 'videoStops'],
    ['RTP that stops while RTCP goes on', 'rtpStops'],
  ]
  const absences = [
    { awaySeconds: 5, stallSeconds: 2, againWithinSeconds: 5 },
    { awaySeconds: 60, stallSeconds: 4, againWithinSeconds: 15 },
  ]
  for (const [title, fault] of stops)
    for (const { awaySeconds, stallSeconds, againWithinSeconds } of absences)
      test(`${title} for ${awaySeconds} s is noticed, and recorded again soon after its return`, async (t) => {
        const { camera, daemon, folder } = await startRecording(t, { STALL_SECONDS: stallSeconds })
        await daemon.line(/recording started/)
        await recordSeconds(camera, 2)
        const faultFrame = camera.frameNow
        camera.faults[fault] = true
        const returned = sleep(awaySeconds * 1000).then(() => {
          camera.faults[fault] = false
          return camera.frameNow
        })
        const noticed = await secondsUntil(daemon, /WARNING .*not recording/)
        const overFrame = await returned
        await daemon.line(/recording started .*tries/)
        await recordSeconds(camera, 1)
        await daemon.stop()
        const counters = await countersOf(recordings(folder))
        const { beforeSeconds, afterSeconds } = lossAround(counters, faultFrame, overFrame)
        t.diagnostic(`noticed after ${noticed.toFixed(1)} s`)
        t.diagnostic(`lost before: ${beforeSeconds.toFixed(1)} s`)
        t.diagnostic(`first frame ${afterSeconds.toFixed(1)} s after its return`)
        assert.ok(noticed <= stallSeconds + 5, `${noticed} s`)
        assert.ok(beforeSeconds <= 2, `${beforeSeconds} s`)
        assert.ok(afterSeconds <= againWithinSeconds, `${afterSeconds} s`)
        assert.ok(count(daemon, /not recording/) <= 2, daemon.lines.join('\n'))
      })

  test('with the default STALL_SECONDS, too, a camera silent for 60 s is recorded within 15 s of its return', async (t) => {
    const recording = await startRecording(t, { STALL_SECONDS: 15 })
    const { camera, daemon } = recording
    await daemon.line(/recording started/)
    await recordSeconds(camera, 2)
    const faultFrame = camera.frameNow
    camera.faults.silent = true
    const noticed = await secondsUntil(daemon, /has fallen silent/)
    await sleep(60_000 - noticed * 1000)
    t.diagnostic(`noticed after ${noticed.toFixed(1)} s`)
    const afterSeconds = await secondsUntilRecorded(t, recording, faultFrame)
    assert.ok(noticed <= 20)
    assert.ok(afterSeconds <= 15, `${afterSeconds} s`)
  })

  test('a camera that comes back while FFmpeg waits for what it had asked is asked anew at once', async (t) => {
    const recording = await startRecording(t, { STALL_SECONDS: 15, LOG_LEVEL: 'DEBUG' })
    const { camera, daemon } = recording
    await daemon.line(/recording started/)
    await recordSeconds(camera, 2)
    const faultFrame = camera.frameNow
    camera.faults.silent = true
    const ended = await daemon.line(/recording ended .*no answer/, { withinMs: 60_000 })
    const [, seconds] = /nextTrySeconds=([\d.]+)/.exec(ended) ?? []
    await sleep(Number(seconds) * 1000 + 1000)
    const afterSeconds = await secondsUntilRecorded(t, recording, faultFrame)
    assert.ok(afterSeconds <= 8, `${afterSeconds} s`)
    assert.ok(count(daemon, /WARNING .*not recording/) <= 2, daemon.lines.join('\n'))
  })

  test('an FFmpeg that is stopped (SIGSTOP) is noticed, ended and replaced', async (t) => {
    const { camera, daemon, folder } = await startRecording(t)
    await daemon.line(/recording started/)
    const pid = await ffmpegPid(join(folder, '.env'))
    await recordSeconds(camera, 2)
    const faultFrame = camera.frameNow
    process.kill(pid, 'SIGSTOP')
    const noticed = await secondsUntil(daemon, /stalled: no new video/)
    const overFrame = camera.frameNow
    await processGone(pid, 5000)
    await daemon.line(/recording started .*tries/)
    await recordSeconds(camera, 1)
    await daemon.stop()
    const loss = lossAround(await countersOf(recordings(folder)), faultFrame, overFrame)
    t.diagnostic(`noticed after ${noticed.toFixed(1)} s`)
    t.diagnostic(`lost before: ${loss.beforeSeconds.toFixed(1)} s`)
    t.diagnostic(`first frame ${loss.afterSeconds.toFixed(1)} s after that`)
    assert.ok(noticed <= 4 + 5, `${noticed} s`)
    assert.ok(loss.beforeSeconds <= 2 && loss.afterSeconds <= 5)
  })

  test('packets held back for 10 s, less than STALL_SECONDS, cost not a frame', async (t) => {
    const { camera, daemon, folder } = await startRecording(t, {
      STALL_SECONDS: 15,
      SEGMENT_DURATION: 2,
    })
    await daemon.line(/segment finished/)
    camera.faults.holdBack = true
    await sleep(10_000)
    camera.faults.holdBack = false
    await daemon.line(/segment finished/, { from: daemon.lines.length })
    await recordSeconds(camera, 3)
    await daemon.stop()
    const counters = await countersOf(recordings(folder))
    assert.deepEqual(brokenPlaces(counters), [])
    assert.equal(count(daemon, /not recording/), 0)
    t.diagnostic(`${counters.length} frames, none missing`)
  })

  test('packets held back for 25 s cost one restart, and overwrite nothing', async (t) => {
    const { camera, daemon, folder } = await startRecording(t, {
      STALL_SECONDS: 15,
      SEGMENT_DURATION: 2,
    })
    await daemon.line(/segment finished/)
    const faultFrame = camera.frameNow
    camera.faults.holdBack = true
    await sleep(25_000)
    const overFrame = camera.frameNow
    camera.faults.holdBack = false
    await daemon.line(/recording started .*tries/)
    await daemon.line(/segment finished/, { from: daemon.lines.length })
    await daemon.stop()
    const counters = await countersOf(recordings(folder))
    const loss = lossAround(counters, faultFrame, overFrame)
    t.diagnostic(`lost before: ${loss.beforeSeconds.toFixed(1)} s`)
    t.diagnostic(`first frame ${loss.afterSeconds.toFixed(1)} s after the end`)
    t.diagnostic(`tries: ${String(/tries=(\d+)/.exec(daemon.lines.join('\n'))?.[1])}`)
    assert.equal(count(daemon, /recording started/), 2)
    assert.ok(loss.beforeSeconds <= 2 && loss.afterSeconds <= 15)
  })
})

/** Lets a camera speak again; answers how long after that the first frame is recorded, and stops the recorder. */
async function secondsUntilRecorded(
  t: TestContext,
  { camera, daemon, folder }: Recording,
  faultFrame: number,
): Promise<number> {
  const overFrame = camera.frameNow
  camera.faults.silent = false
  await daemon.line(/recording started .*tries/)
  await recordSeconds(camera, 1)
  await daemon.stop()
  const { afterSeconds } = lossAround(await countersOf(recordings(folder)), faultFrame, overFrame)
  t.diagnostic(`first frame ${afterSeconds.toFixed(1)} s after its return`)
  return afterSeconds
}
