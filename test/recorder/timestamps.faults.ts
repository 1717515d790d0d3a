import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CameraOptions, RtspCamera } from '../../demo/rtsp-camera.ts'
import { cachedClip } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { count, finalizedIn, fps, recordSeconds, secondsOf, startRecording } from './recordings.ts'

/** Time stamps as no book describes them: how, and of which camera. */
const cameras: [
  title: string,
  options: Partial<CameraOptions>,
  disturb: (camera: RtspCamera) => Promise<void>,
][] = [
  [
    'jump forward and back, of all tracks or of the video alone',
    {},
    async (camera) => {
      for (const jumpMs of [3_600_000, -7_200_000, 5000, -5000]) {
        camera.timestampJumpMs(jumpMs)
        await recordSeconds(camera, 3)
        camera.timestampJumpMs(jumpMs, ['video'])
        await recordSeconds(camera, 3)
      }
      camera.timestampJumpMs(-500)
      await recordSeconds(camera, 3)
    },
  ],
  [
    'begin anew, again and again',
    {},
    async (camera) => {
      for (let times = 0; times < 5; times += 1) {
        camera.restartTimestamps()
        await recordSeconds(camera, 3)
      }
    },
  ],
  [
    'are not monotonic',
    {},
    async (camera) => {
      camera.faults.strayStampsMs = 60
      await recordSeconds(camera, 15)
      camera.faults.strayStampsMs = 2000
      await recordSeconds(camera, 2)
      camera.faults.strayStampsMs = 0
    },
  ],
  ['come from a slow camera', { pace: 0.8 }, async (camera) => recordSeconds(camera, 20)],
  ['come from a fast camera', { pace: 1.1 }, async (camera) => recordSeconds(camera, 20)],
  ['come in bursts', { burstMs: 2500 }, async (camera) => recordSeconds(camera, 20)],
]

describe('time stamps', { concurrency: 4 }, () => {
  for (const audio of ['aac', 'pcma'] as const)
    for (const [title, options, disturb] of cameras)
      test(`that ${title} cost neither a frame nor a restart, and no file is too short or too long (sound: ${audio})`, async (t) => {
        const clip = await cachedClip({ audio })
        const settings = { SEGMENT_DURATION: 5 }
        const { camera, daemon, folder } = await startRecording(t, settings, { clip, ...options })
        await daemon.line(/segment finished/)
        // On a busy machine the first try may fail.
        const warningsBefore = count(daemon, /WARNING|ERROR/)
        const startedMs = performance.now()
        await disturb(camera)
        const tookMs = performance.now() - startedMs
        await daemon.line(/segment finished/, { from: daemon.lines.length })
        await sleep(1000)
        await daemon.stop()
        assert.equal(count(daemon, /WARNING|ERROR/), warningsBefore, daemon.lines.join('\n'))
        const files = await finalizedIn(folder)
        const frames = await Promise.all(files.map(frameCounters))
        assert.deepEqual(brokenPlaces(frames.flat()), [])
        const seconds = await Promise.all(files.map(secondsOf))
        const rate = fps * (options.pace ?? 1)
        const errors = seconds.map((took, index) => took - (frames[index]?.length ?? 0) / rate)
        const worst = Math.max(...errors.map(Math.abs))
        t.diagnostic(
          `${frames.flat().length} frames in ${files.length} files, none missing; durations wrong by at most ${worst.toFixed(2)} s`,
        )
        assert.ok(worst < 1, errors.map((error) => error.toFixed(2)).join(' '))
        // No more segments than there should be: none of a second.
        assert.ok(files.length <= tookMs / 5000 + 5, files.join(' '))
      })
})
