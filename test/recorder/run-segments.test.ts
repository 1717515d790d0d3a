import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/daemon/clock.ts'
import { createLog } from '../../src/daemon/logger.ts'
import { Redactor } from '../../src/daemon/redact.ts'
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

const frames = 100
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
  record(join(folders.open, file))
  const options = { folder: folders.logs, daemon: 'recorder', retentionDays: 1, maxBytes: 1e8 }
  const log = createLog({ ...options, level: 'ERROR', format: 'text' }, new Redactor(), systemClock)
  const segments = new OpenSegments(folders, { closed: new ClosedSegments(folders.closed), log })
  const clock = new HeldClock()
  const times = new WatchedTimes({ heldFrames: 1 })
  const startMs = clock.monotonicMs()
  for (let frame = 1; frame <= frames; frame += 10) times.arrived(startMs + frame * 40, frame)
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

function record(path: string): void {
  const source = ['-f', 'lavfi', '-i', `testsrc2=size=64x64:rate=25:duration=${frames / 25}`]
  const encoder = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency']
  const fragments = ['-movflags', '+empty_moov+default_base_moof', '-frag_duration', '500000']
  const output = [...fragments, '-use_editlist', '0', '-f', 'mp4', path]
  execFileSync('ffmpeg', ['-v', 'error', ...source, ...encoder, ...output])
}
