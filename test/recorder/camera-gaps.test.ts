import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../src/daemon/logger.ts'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { CameraGaps } from '../../src/recorder/camera-gaps.ts'
import { forgottenGaps, pastFootage, type PastFootage } from '../../src/recorder/past-footage.ts'
import type { FootageSpan } from '../../src/segments/closed-segments.ts'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { Gaps, type GapLine } from '../../src/segments/gaps.ts'
import { HeldClock } from '../support/held-clock.ts'
import { journalLines } from '../support/journal-lines.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
const startMs = new Date(2025, 0, 25, 12).getTime()
const fps = 25

/** Footage, in seconds since the test began. */
function span(from: number, to: number, stepMs = 1000 / fps): FootageSpan {
  return { fromMs: startMs + from * 1000, toMs: startMs + to * 1000, stepMs }
}

async function gapsOfFront(t: TestContext, past?: PastFootage) {
  const folder = await temporaryFolder(t)
  const clock = new HeldClock(startMs)
  const problems = new ProblemLog(silent, clock)
  const noted = new Gaps(folder)
  const gaps = new CameraGaps('Front', past, { gaps: noted, clock, problems })
  return {
    ...{ clock, gaps, noted },
    lines: async (count: number): Promise<GapLine[]> => {
      while (journalLines(folder).length < count) await sleep(5)
      return journalLines(folder)
    },
  }
}

function inShort({ kind, from, seconds, reason }: GapLine): unknown[] {
  return [kind, (Date.parse(from) - startMs) / 1000, seconds, reason]
}

test('a gap is noted when it begins, and when it is over, with the reason that held for most of it', async (t) => {
  const { clock, gaps, lines, noted } = await gapsOfFront(t)
  gaps.alive()
  gaps.recorded(span(-10, 0))
  gaps.failed('camera disconnected')
  assert.deepEqual((await lines(1)).map(inShort), [['gap-open', 0, 0, 'camera disconnected']])
  assert.equal((await noted.stillOpen()).length, 1)
  await clock.advance(2000)
  gaps.failed('camera refused')
  await clock.advance(60_000)
  gaps.failed('password rejected')
  await clock.advance(30_000)
  assert.equal(gaps.status.gap, 'camera refused')
  gaps.alive()
  await clock.advance(60_000)
  gaps.recorded(span(91.5, 152))
  assert.equal(gaps.status.gap, undefined)
  assert.deepEqual((await lines(2)).slice(1).map(inShort), [['gap', 0, 91.5, 'camera refused']])
  assert.deepEqual(await noted.stillOpen(), [])
})

test('one that hid nothing is closed all the same', async (t) => {
  const { gaps, lines, noted } = await gapsOfFront(t)
  gaps.recorded(span(-10, 0))
  gaps.failed('stream changed')
  gaps.alive()
  gaps.recorded(span(0.4, 10))
  assert.deepEqual((await lines(2)).slice(1).map(inShort), [['gap', 0, 0, 'stream changed']])
  assert.deepEqual([await noted.stillOpen(), await noted.all()], [[], []])
})

test('each gap has its own reason', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t)
  gaps.recorded(span(-10, 0))
  gaps.failed('camera silent')
  await clock.advance(60_000)
  gaps.alive()
  gaps.recorded(span(60, 70))
  await clock.advance(10_000)
  gaps.failed('camera refused')
  await clock.advance(5000)
  gaps.alive()
  gaps.recorded(span(75, 85))
  assert.deepEqual(
    (await lines(4)).map(inShort).filter(([kind]) => kind === 'gap'),
    [
      ['gap', 0, 60, 'camera silent'],
      ['gap', 70, 5, 'camera refused'],
    ],
  )
})

test('between two segments of a camera that goes on a pause is a gap, and a slow step is none', async (t) => {
  const { gaps, lines } = await gapsOfFront(t)
  gaps.alive()
  gaps.recorded(span(0, 10, 2000))
  gaps.recorded(span(16, 30, 2000))
  gaps.recorded(span(30.9, 40))
  gaps.recorded(span(43, 50))
  assert.deepEqual((await lines(1)).map(inShort), [['gap', 40, 3, 'camera paused']])
})

test('a clock that is set does not move what the status says of the footage', async (t) => {
  const { clock, gaps } = await gapsOfFront(t)
  clock.set(0)
  gaps.alive()
  await clock.advance(20_000)
  clock.set(startMs)
  assert.equal(gaps.status.footageUntil, new Date(startMs - 20_000).toISOString())
})

test('a clock that is set in the middle of a recording makes no gap, and the time that it passed over is known', async (t) => {
  const { clock, gaps, lines, noted } = await gapsOfFront(t)
  const set = (seconds: number): void => clock.set(clock.now() + seconds * 1000)
  gaps.alive()
  gaps.recorded(span(0, 10))
  set(3600)
  gaps.recorded(span(3610, 3620))
  set(-3600)
  gaps.recorded(span(20, 30))
  set(3)
  gaps.recorded(span(33, 43))
  // What is missing besides is a gap, by the clock as it is now.
  set(-60)
  gaps.recorded(span(-12, -7))
  assert.deepEqual((await lines(3)).map(inShort), [
    ['clock-set', 10, 3600, 'clock set ahead'],
    ['clock-set', 30, 3, 'clock set ahead'],
    ['gap', -17, 5, 'camera paused'],
  ])
  assert.deepEqual([(await noted.all()).length, (await noted.passedOver()).length], [1, 2])
})

test('a gap in which the clock is set back is as long as it was, and over', async (t) => {
  const { clock, gaps, lines, noted } = await gapsOfFront(t)
  gaps.recorded(span(-10, 0))
  gaps.failed('camera silent')
  await clock.advance(5000)
  clock.set(clock.now() - 3600e3)
  gaps.failed('camera refused')
  await clock.advance(20_000)
  gaps.alive()
  gaps.recorded(span(-3575, -3570))
  assert.deepEqual((await lines(3)).map(inShort), [
    ['gap-open', 0, 0, 'camera silent'],
    ['gap', -3600, 25, 'camera refused'],
    ['gap', 0, 0, 'camera silent'],
  ])
  assert.deepEqual([(await noted.all()).length, await noted.stillOpen()], [1, []])
})

test('the time in which the machine was suspended is missing', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t)
  gaps.recorded(span(-10, 0))
  clock.suspend(3600e3)
  gaps.recorded(span(3600, 3610))
  assert.deepEqual((await lines(1)).map(inShort), [['gap', 0, 3600, 'camera paused']])
})

test('after a boot at 1970 the absence of the recorder is known once the clock is set', async (t) => {
  const { clock, gaps, lines, noted } = await gapsOfFront(t, {
    ...{ untilMs: startMs - 600e3, downSinceMs: startMs - 600e3 },
  })
  clock.set(0)
  gaps.alive()
  gaps.recorded({ fromMs: 0, toMs: 10_000, stepMs: 40 })
  await clock.advance(12_000)
  clock.set(startMs + 12_000)
  gaps.recorded(span(10, 20))
  assert.deepEqual((await lines(2)).map(inShort), [
    ['gap', -600, 600, 'recorder down'],
    ['clock-set', 0, 10, 'clock set ahead'],
  ])
  assert.equal((await noted.all()).length, 1)
})

test('before the first footage of a camera nothing is missing', async (t) => {
  const { clock, gaps, noted } = await gapsOfFront(t)
  gaps.failed('camera refused')
  await clock.advance(60_000)
  gaps.alive()
  gaps.recorded(span(60, 70))
  gaps.recorded(span(70, 80))
  assert.equal(gaps.status.gap, undefined)
  assert.deepEqual([await noted.all(), await noted.stillOpen()], [[], []])
})

test('the absence of the recorder is a gap, and goes on from the one that it left', async (t) => {
  const absent = await gapsOfFront(t, { untilMs: startMs - 600e3, downSinceMs: startMs - 600e3 })
  absent.gaps.alive()
  absent.gaps.recorded(span(0, 10))
  assert.deepEqual((await absent.lines(1)).map(inShort), [['gap', -600, 600, 'recorder down']])
  const refused = await gapsOfFront(t, {
    ...{ untilMs: startMs - 3600e3, downSinceMs: startMs - 600e3, gap: 'camera refused' },
  })
  assert.equal(refused.gaps.status.footageUntil, new Date(startMs - 3600e3).toISOString())
  refused.gaps.alive()
  refused.gaps.recorded(span(0, 10))
  assert.deepEqual((await refused.lines(1)).map(inShort), [['gap', -3600, 3600, 'camera refused']])
})

test('a segment that was left behind is between two gaps, each with its reason', async (t) => {
  const { clock, gaps, lines } = await gapsOfFront(t, {
    ...{ untilMs: startMs - 60e3, downSinceMs: startMs - 48e3, gap: 'file not growing' },
  })
  gaps.adopted(span(-49, -48.8))
  await clock.advance(2000)
  gaps.alive()
  gaps.recorded(span(2, 10))
  assert.deepEqual((await lines(2)).map(inShort), [
    ['gap', -60, 11, 'file not growing'],
    ['gap', -48.8, 50.8, 'recorder down'],
  ])
})

test('where the footage ends is told by what was closed, and what was open by its line', async (t) => {
  const folders = foldersBelow(await temporaryFolder(t))
  await makeFolders(folders)
  const status = {
    updatedAt: new Date(startMs + 9000).toISOString(),
    cameras: [{ name: 'Front', footageUntil: new Date(startMs + 8000).toISOString() }],
  }
  const closed = new Map([
    ['Front', [span(-20, -10), span(-10, 0)]],
    ['Back', [span(-10, 0)]],
    ['Ahead', [span(0, 365 * 86_400)]],
  ])
  const openGaps = [
    { camera: 'Front', fromMs: startMs, reason: 'camera silent' },
    { camera: 'Back', fromMs: startMs - 60_000, reason: 'camera refused' },
  ]
  const past = await pastFootage({ status, closed, openGaps }, folders, startMs + 60_000)
  assert.deepEqual(past.get('Front'), {
    ...{ untilMs: startMs, downSinceMs: startMs + 9000 },
    ...{ gap: 'camera silent', restartsToday: undefined },
  })
  assert.deepEqual(past.get('Back'), {
    ...{ untilMs: startMs, downSinceMs: startMs },
    ...{ gap: undefined, restartsToday: undefined },
  })
  assert.equal(past.get('Ahead'), undefined)
})

test('of an older version it is told by the last status, or by a newer file', async (t) => {
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
  const none = { closed: new Map<string, FootageSpan[]>(), openGaps: [] }
  const past = await pastFootage({ status, ...none }, folders, Date.now())
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
  const nonsense = await pastFootage({ status: 'nonsense', ...none }, folders, startMs)
  assert.equal(nonsense.get('Back')?.untilMs, startMs)
})

test('a gap between what was closed last, of which a killed recorder left no line, is not forgotten', () => {
  const closed = new Map([
    ['Front', [span(-40, -30), span(-29.9, -20), span(-9, -5), span(-4, 0)]],
    ['Back', [span(-20, -10), span(-5, 0)]],
  ])
  const openGaps = [{ camera: 'Front', fromMs: startMs - 20e3, reason: 'camera silent' }]
  const noted = { camera: 'Back', fromMs: startMs - 10e3, toMs: startMs - 5e3, reason: 'any' }
  const forgotten = forgottenGaps({ status: undefined, closed, openGaps }, [noted])
  assert.deepEqual(
    forgotten.map((gap) => [
      gap.camera,
      (gap.fromMs - startMs) / 1000,
      (gap.toMs - startMs) / 1000,
      gap.reason,
    ]),
    [
      ['Front', -20, -9, 'camera silent'],
      ['Front', -5, -4, 'camera paused'],
    ],
  )
})
