import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { cachedClip } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { cannotMount, fillDisk, remount, smallDisk } from '../support/small-disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const backWithinMs = 15_000

/** A recorder whose `recordings/` a test prepares; a stall is not what it will notice. */
async function recorder(t: TestContext, folder: string, kbps = 800): Promise<RunningDaemon> {
  const camera = await startRtspCamera({ clip: await cachedClip({ videoKbps: kbps }) })
  t.after(async () => camera.close())
  return startDaemon(t, 'recorder', folder, {
    ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 2 },
    ...{ STALL_SECONDS: 120, LOG_LEVEL: 'DEBUG' },
  })
}

/** How long `change` leaves the camera without a recording. */
async function untilBack(daemon: RunningDaemon, change: () => unknown): Promise<number> {
  const from = daemon.lines.length
  const startedMs = performance.now()
  await change()
  await daemon.line(/recording started/, { from, withinMs: 60_000 })
  return performance.now() - startedMs
}

/** Resolves when the delay before the next try has become as long as it gets. */
async function longestDelay(daemon: RunningDaemon): Promise<void> {
  const tries = /recording ended .*nextTrySeconds=(\d+\.\d)/
  let seen = 0
  for (let count = 0; count < 4; count += 1) {
    await daemon.line(tries, { from: seen, withinMs: 60_000 })
    seen += daemon.lines.slice(seen).findIndex((line) => tries.test(line)) + 1
  }
}

function said(daemon: RunningDaemon, pattern: RegExp): number {
  return daemon.lines.filter((line) => pattern.test(line)).length
}

function recordings(folder: string): string[] {
  const files = readdirSync(join(folder, 'recordings')).filter((file) => file.endsWith('.mp4'))
  return files.sort().map((file) => join(folder, 'recordings', file))
}

/** All files play, and no frame is missing but at so many places. */
async function assertWhole(files: string[], places: number): Promise<void> {
  const counters = (await Promise.all(files.map(frameCounters))).flat()
  assert.ok(counters.length > 0)
  assert.ok(brokenPlaces(counters).length <= places, brokenPlaces(counters).join(', '))
}

describe('the recorder and its disk', { concurrency: true }, () => {
  test('recordings/ removed while running: recording again by itself', async (t) => {
    const folder = await temporaryFolder(t)
    const daemon = await recorder(t, folder)
    await daemon.line(/recording started/)
    // In its start-up grace, too.
    for (const stage of ['at its start', 'later']) {
      const ms = await untilBack(daemon, () =>
        rmSync(join(folder, 'recordings'), { recursive: true, force: true }),
      )
      t.diagnostic(`removed ${stage}: recording again after ${(ms / 1000).toFixed(1)} s`)
      assert.ok(ms < backWithinMs, `${ms} ms`)
      await daemon.line(/segment finished/, { from: daemon.lines.length })
    }
    assert.ok(
      said(daemon, /WARNING.*(file in recordings\/open\/ was deleted|cannot be written)/) > 0,
    )
    await daemon.stop()
    await assertWhole(recordings(folder), 0)
  })

  test('a folder that cannot be written to is said once, and recorded into when it can', async (t) => {
    let open = ''
    const lock = (flag: string): void => void execFileSync('chattr', [flag, open])
    // Before the folder is removed.
    t.after(() => lock('-i'))
    const folder = await temporaryFolder(t)
    open = join(folder, 'recordings', 'open')
    mkdirSync(open, { recursive: true })
    try {
      lock('+i')
    } catch {
      return t.skip('this file system, or user, cannot make a folder immutable')
    }
    const daemon = await recorder(t, folder)
    await longestDelay(daemon)
    const ms = await untilBack(daemon, () => lock('-i'))
    t.diagnostic(`not writable: recording again ${(ms / 1000).toFixed(1)} s after it was`)
    assert.ok(ms < backWithinMs, `${ms} ms`)
    assert.equal(said(daemon, /WARNING.*recordings\/open\/ cannot be written to/), 1)
    await daemon.stop()
  })

  test(
    'a disk that is read-only is said once, and recorded into when it is not',
    { skip: cannotMount },
    async (t) => {
      const folder = await smallDisk(t, 30, 'recordings')
      const disk = join(folder, 'recordings')
      mkdirSync(join(disk, 'open'))
      await remount(disk, 'ro')
      const daemon = await recorder(t, folder)
      await longestDelay(daemon)
      const ms = await untilBack(daemon, async () => remount(disk, 'rw'))
      t.diagnostic(`read-only: recording again ${(ms / 1000).toFixed(1)} s after it was writable`)
      assert.ok(ms < backWithinMs, `${ms} ms`)
      assert.equal(said(daemon, /WARNING.*recordings\/open\/ cannot be written to/), 1)
      await daemon.stop()
    },
  )

  test(
    'a full disk is said once, loses nothing that was recorded, and is recorded onto when there is room',
    { skip: cannotMount },
    async (t) => {
      const folder = await smallDisk(t, 60, 'recordings')
      const disk = join(folder, 'recordings')
      const daemon = await recorder(t, folder, 4000)
      await daemon.line(/segment finished/)
      const empty = fillDisk(disk)
      await longestDelay(daemon)
      const before = recordings(folder)
      const ms = await untilBack(daemon, empty)
      t.diagnostic(`disk full: recording again ${(ms / 1000).toFixed(1)} s after there was room`)
      assert.ok(ms < backWithinMs, `${ms} ms`)
      assert.equal(said(daemon, /WARNING.*the disk is full/), 1)
      await daemon.line(/segment finished/, { from: daemon.lines.length })
      await daemon.stop()
      assert.ok(before.every((file) => statSync(file).size > 0))
      await assertWhole(
        recordings(folder).filter((file) => !before.includes(file)),
        0,
      )
      await assertWhole(before, 1)
      const gaps = join(folder, 'data', 'gaps')
      const text = readdirSync(gaps)
        .map((file) => readFileSync(join(gaps, file), 'utf8'))
        .join('')
      assert.match(text, /"reason":"disk full"/)
    },
  )
})
