import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isoLocal } from '../../src/daemon/local-time.ts'
import type { Log } from '../../src/daemon/logger.ts'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { CameraGaps } from '../../src/recorder/camera-gaps.ts'
import { pastFootage, type PastFootage } from '../../src/recorder/past-footage.ts'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { Gaps, type GapLine } from '../../src/segments/gaps.ts'
import { HeldClock } from '../support/held-clock.ts'
import { journalLines } from '../support/journal-lines.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
const startMs = new Date(2025, 0, 25, 12).getTime()

async function gapsOfFront(t: TestContext, past?: PastFootage) {
  const folder = await temporaryFolder(t)
  const clock = new HeldClock(startMs)
  const problems = new ProblemLog(silent, clock)
  const gaps = new CameraGaps('Front', past, { gaps: new Gaps(folder), clock, problems })
  return {
    clock,
    gaps,
    lines: async (): Promise<GapLine[]> => {
      while (journalLines(folder).length === 0) await sleep(5)
      return journalLines(folder)
    },
  }
}

test('a gap has the reason that held for most of it', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t)
  gaps.footage(0)
  gaps.failed('camera disconnected')
  await clock.advance(2000)
  gaps.failed('camera refused')
  await clock.advance(60_000)
  gaps.failed('password rejected')
  await clock.advance(30_000)
  assert.equal(gaps.status.gap, 'camera refused')
  gaps.footage(1000)
  assert.equal(gaps.status.gap, undefined)
  const [{ seconds, reason } = {}] = await lines()
  assert.deepEqual({ seconds, reason }, { seconds: 91, reason: 'camera refused' })
})

test('what FFmpeg writes at its end, after a silence, makes the gap no shorter', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t)
  for (let totalMs = 500; totalMs <= 5000; totalMs += 500) {
    await clock.advance(500)
    gaps.footage(totalMs)
  }
  await clock.advance(4000)
  gaps.footage(5040)
  gaps.failed('camera silent')
  await clock.advance(6000)
  gaps.footage(0)
  const [{ seconds } = {}] = await lines()
  assert.equal(seconds, 10)
})

test('what comes late of a camera that then falls silent is of before', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t)
  for (let totalMs = 500; totalMs <= 5000; totalMs += 500) {
    await clock.advance(500)
    gaps.footage(totalMs)
  }
  await clock.advance(4000)
  gaps.footage(5800)
  gaps.failed('camera silent')
  await clock.advance(5000)
  gaps.footage(0)
  const [{ seconds } = {}] = await lines()
  assert.equal(seconds, 8.2)
})

test('a slow camera has no gap, nor one whose footage was held back', async (t) => {
  const { clock, gaps } = await gapsOfFront(t)
  let totalMs = 0
  for (; totalMs <= 60_000; totalMs += 200) {
    await clock.advance(500)
    gaps.footage(totalMs)
  }
  assert.equal(gaps.status.footageUntil, new Date(clock.now()).toISOString())
  await clock.advance(10_000)
  gaps.footage(totalMs + 10_000)
  assert.equal(gaps.status.footageUntil, new Date(clock.now()).toISOString())
})

test('a clock that is set in a gap makes it no longer, and no shorter', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t)
  clock.set(0)
  gaps.footage(0)
  gaps.failed('camera silent')
  await clock.advance(20_000)
  clock.set(startMs)
  assert.equal(gaps.status.footageUntil, new Date(startMs - 20_000).toISOString())
  gaps.footage(5000)
  const [{ from, seconds } = {}] = await lines()
  assert.deepEqual({ from, seconds }, { from: isoLocal(startMs - 20_000), seconds: 15 })
})

test('before the first footage of a camera nothing is missing', async (t) => {
  const { clock, gaps } = await gapsOfFront(t)
  gaps.failed('camera refused')
  await clock.advance(60_000)
  gaps.footage(0)
  assert.equal(gaps.status.gap, undefined)
})

test('the absence of the recorder is a gap, and goes on from the one that it left', async (t) => {
  const at = (minutesAgo: number): number => startMs - minutesAgo * 60_000
  const absent = await gapsOfFront(t, { untilMs: at(10), downSinceMs: at(10) })
  absent.gaps.footage(0)
  assert.deepEqual(
    (await absent.lines()).map(({ seconds, reason }) => [seconds, reason]),
    [[600, 'recorder down']],
  )
  const refused = await gapsOfFront(t, {
    untilMs: at(60),
    downSinceMs: at(10),
    gap: 'camera refused',
  })
  assert.equal(refused.gaps.status.footageUntil, new Date(at(60)).toISOString())
  refused.gaps.footage(0)
  assert.deepEqual(
    (await refused.lines()).map(({ seconds, reason }) => [seconds, reason]),
    [[3600, 'camera refused']],
  )
})

test('where the footage ends is told by the last status, or by a newer file', async (t) => {
  const folders = foldersBelow(await temporaryFolder(t))
  await makeFolders(folders)
  const file = join(folders.uploaded, 'Back_20250125_120000.mp4')
  await writeFile(file, '')
  await utimes(file, startMs / 1000, startMs / 1000)
  await writeFile(join(folders.recordings, 'Front_20250125_110000.mp4'), '')
  const newer = new Date(Date.now() + 60_000)
  const status = {
    updatedAt: new Date(newer.getTime() + 2000).toISOString(),
    cameras: [{ name: 'Front', footageUntil: newer.toISOString(), gap: 'camera silent' }],
  }
  const past = await pastFootage(status, folders, Date.now())
  assert.deepEqual(past.get('Back'), {
    ...{ untilMs: startMs, downSinceMs: startMs },
    restartsToday: undefined,
  })
  assert.deepEqual(past.get('Front'), {
    untilMs: newer.getTime(),
    downSinceMs: newer.getTime() + 2000,
    gap: 'camera silent',
    restartsToday: undefined,
  })
  // A clock that was ahead left this.
  await writeFile(join(folders.uploaded, 'Back_20450125_120000.mp4'), '')
  assert.equal((await pastFootage('nonsense', folders, startMs)).get('Back')?.untilMs, startMs)
})
