import assert from 'node:assert/strict'
import { appendFileSync, readdirSync } from 'node:fs'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { OpenSegments } from '../../src/recorder/open-segments.ts'
import { RunSegments } from '../../src/recorder/run-segments.ts'
import { RunTimes, type FragmentTimes } from '../../src/recorder/timing/run-times.ts'
import {
  ClosedSegments,
  type ClosedSegment,
  type FootageSpan,
} from '../../src/segments/closed-segments.ts'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { HeldClock } from '../support/held-clock.ts'
import { journalLines } from '../support/journal-lines.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { fragmented, LogLines } from '../uploader/workbench.ts'

/** Of `fragmented`, at ten a second. */
const frames = 20
const file = 'Front_20250125_120000.mp4'

test('a segment that FFmpeg closes while it is being read is read to its end before it is closed', async (t) => {
  const { folders, written, times, lineOf } = await startRun(t)
  const path = join(folders.open, file)
  const whole = await readFile(path)
  const lastFragmentAt = whole.lastIndexOf('moof') - 4
  await writeFile(path, whole.subarray(0, lastFragmentAt))
  times.onFirst = (): void => {
    const [claimed = ''] = readdirSync(folders.open)
    appendFileSync(join(folders.open, claimed), whole.subarray(lastFragmentAt))
    written.closed()
  }
  written.opened(file)
  assert.equal((await lineOf())?.frames, frames)
})

test('a segment is closed also where its end is told before its beginning', async (t) => {
  const { written, lineOf } = await startRun(t)
  written.closed()
  written.opened(file)
  assert.equal((await lineOf())?.frames, frames)
})

/** Times that let a test do something when a fragment has been read, and others have not. */
class WatchedTimes extends RunTimes {
  onFirst = (): void => {}
  #isFirst = true

  override add(fragment: FragmentTimes): void {
    super.add(fragment)
    if (this.#isFirst) this.onFirst()
    this.#isFirst = false
  }
}

/** A run whose only segment lies in `open/`, and has come evenly until a pause. */
async function startRun(t: TestContext) {
  const folders = foldersBelow(await temporaryFolder(t))
  await makeFolders(folders)
  await copyFile(await fragmented(), join(folders.open, file))
  const log = new LogLines()
  const segments = new OpenSegments(folders, { closed: new ClosedSegments(folders.closed), log })
  const clock = new HeldClock()
  const times = new WatchedTimes({ heldFrames: 1 })
  const startMs = clock.monotonicMs()
  for (let frame = 1; frame <= frames; frame += 5) times.arrived(startMs + frame * 100, frame)
  // Behind a pause all before it is settled.
  times.arrived(startMs + 60_000, frames + 1)
  const footage: FootageSpan[] = []
  const onFootage = (span: FootageSpan): void => void footage.push(span)
  const written = new RunSegments({ camera: 'Front', times, segments, clock, log, onFootage })
  const ended = new AbortController()
  const keptUp = written.keepUp(ended.signal)
  t.after(async () => {
    ended.abort()
    await keptUp
  })
  /** What is noted of the segment once it is closed. */
  const lineOf = async (): Promise<ClosedSegment | undefined> => {
    for (let tick = 0; tick < 2000 && footage.length === 0; tick += 1) {
      await clock.advance(3000)
      // What waits for a disk waits for no clock of ours.
      await sleep(5)
    }
    return footage.length > 0 ? journalLines<ClosedSegment>(folders.closed)[0] : undefined
  }
  return { folders, written, times, lineOf }
}
