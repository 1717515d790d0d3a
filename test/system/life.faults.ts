import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { journalLines } from '../support/journal-lines.ts'
import { startInstallation, unreachableCamera, until, type Installation } from './installation.ts'

const framesPerSecond = 25

/** Each of a hole's frames is missing: how long it is. */
function holeSeconds(broken: string): number {
  const [from = 0, to = 0] = broken.split(' → ').map(Number)
  assert.ok(to > from, `a frame is there twice: ${broken}`)
  return (to - from - 1) / framesPerSecond
}

/** All frames that are anywhere in this installation, in order. */
async function frames({ folders }: Installation): Promise<number[]> {
  const files = [folders.uploaded, folders.recordings, folders.open, folders.quarantine].flatMap(
    (folder) => readdirSync(folder).flatMap((n) => (n.endsWith('.mp4') ? [join(folder, n)] : [])),
  )
  return (await Promise.all(files.map(frameCounters))).flat().sort((a, b) => a - b)
}

function shipped({ folders }: Installation): string[] {
  return journalLines<LedgerLine>(folders.ledger).map(({ file }) => file)
}

describe('a daemon that is suspended', { concurrency: 6 }, () => {
  for (const [seconds, most] of [
    [60, 70],
    [120, 130],
  ] as const)
    test(`a recorder that hangs for ${seconds} s is replaced, and what FFmpeg records meanwhile is all there`, async (t) => {
      const { installation } = await startInstallation(t)
      if (seconds !== 60) installation.variables.KEEP_ALIVE_HANG_SECONDS = String(seconds)
      await installation.run('start.sh')
      await until(40_000, 'a segment is shipped', () => shipped(installation).length > 0)
      const pid = await installation.pid('recorder')
      process.kill(pid, 'SIGSTOP')
      const stoppedMs = performance.now()
      await installation.replaced('recorder', pid, (most + 20) * 1000)
      const replacedSeconds = (performance.now() - stoppedMs) / 1000
      await until(30_000, 'the camera is recorded', async () => {
        const [camera] = (await installation.report()).recorder.status?.cameras ?? []
        return camera?.state === 'recording'
      })
      await sleep(6000)
      await installation.run('stop.sh')

      const holes = brokenPlaces(await frames(installation)).map(holeSeconds)
      t.diagnostic(
        `recorder suspended: replaced after ${replacedSeconds.toFixed(1)} s; ` +
          `hole of ${holes.map((hole) => hole.toFixed(2)).join(' and ')} s`,
      )
      assert.ok(replacedSeconds < most, `replaced after ${replacedSeconds} s`)
      assert.equal(holes.length, 1, String(holes))
      assert.ok(
        holes.every((hole) => hole < 5),
        String(holes),
      )
      assert.match(
        await installation.log('recorder'),
        /hangs: no sign of life for \d+ s; killing it/,
      )
    })

  test('an uploader that hangs for a minute is replaced, and everything is shipped once', async (t) => {
    const { installation } = await startInstallation(t)
    await installation.run('start.sh')
    await until(40_000, 'a segment is shipped', () => shipped(installation).length > 0)
    const pid = await installation.pid('uploader')
    process.kill(pid, 'SIGSTOP')
    const stoppedMs = performance.now()
    await installation.replaced('uploader', pid, 90_000)
    const replacedSeconds = (performance.now() - stoppedMs) / 1000
    const { recordings } = installation.folders
    const waiting = (): number => readdirSync(recordings).filter((n) => n.endsWith('.mp4')).length
    const backlog = waiting()
    await until(30_000, 'the backlog is shipped', () => waiting() <= 1)
    const drainedSeconds = (performance.now() - stoppedMs) / 1000 - replacedSeconds
    await installation.run('stop.sh')
    const files = shipped(installation)
    assert.equal(new Set(files).size, files.length)
    assert.deepEqual(brokenPlaces(await frames(installation)), [])
    t.diagnostic(
      `uploader suspended: replaced after ${replacedSeconds.toFixed(1)} s; ` +
        `${backlog} files shipped ${drainedSeconds.toFixed(1)} s later, no frame missing`,
    )
    assert.ok(replacedSeconds < 70, `replaced after ${replacedSeconds} s`)
  })

  test('a clock that is set kills no healthy daemon, and spares none that hangs', async (t) => {
    const { installation } = await startInstallation(t, unreachableCamera)
    const clock = new FakeClock(join(installation.folders.base, '..'))
    installation.variables = { ...clock.variables, KEEP_ALIVE_HANG_SECONDS: '10' }
    await installation.run('start.sh')
    const pids = [await installation.pid('recorder'), await installation.pid('uploader')]
    for (const aheadMs of [3_600_000, 0, -3_600_000, 87_600 * 3_600_000, 20_000 - Date.now()]) {
      clock.set(aheadMs)
      await sleep(5000)
    }
    assert.deepEqual([await installation.pid('recorder'), await installation.pid('uploader')], pids)
    const [recorder = 0] = pids
    process.kill(recorder, 'SIGSTOP')
    const stoppedMs = performance.now()
    await sleep(4000)
    clock.set(-7_200_000)
    await installation.replaced('recorder', recorder, 30_000)
    const seconds = (performance.now() - stoppedMs) / 1000
    t.diagnostic(`clock set back while the recorder hangs: replaced after ${seconds.toFixed(1)} s`)
    assert.ok(seconds < 20, `replaced after ${seconds} s`)
  })
})
