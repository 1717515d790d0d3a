import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { OpenFiles } from '../../src/daemon/open-files.ts'
import { readEnvironment } from '../../src/daemon/environment.ts'
import type { GapLine } from '../../src/segments/gaps.ts'
import { cachedClip } from '../support/clips.ts'
import { frameCounters } from '../support/frame-counter.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

test('every gap is noted with its reason, and lasts as long as the frames that are missing', async (t) => {
  const folder = await temporaryFolder(t)
  const camera = await startRtspCamera({ clip: await cachedClip() })
  t.after(async () => camera.close())
  const start = async () =>
    startDaemon(t, 'recorder', folder, {
      ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 2 },
    })
  const first = await start()
  await first.line(/segment finished/)

  camera.faults.refuseConnections = true
  camera.disconnectAll()
  await first.line(/refuses the connection/)
  camera.faults.refuseConnections = false
  await nextSegment(first, /recording started .*tries/)

  process.kill(await ffmpegPid(folder), 'SIGKILL')
  await nextSegment(first, /recording started .*SIGKILL/)

  first.process.kill('SIGKILL')
  await first.ended
  const second = await start()
  await nextSegment(second, /recording started/)
  await second.stop()

  const gaps = gapsOf(folder)
  assert.deepEqual(
    gaps.map(({ reason }) => reason),
    ['camera refused', 'FFmpeg died', 'recorder down'],
  )
  const missing = await missingSeconds(folder)
  assert.equal(missing.length, gaps.length, String(missing))
  for (const [index, { seconds, camera: name, from, to }] of gaps.entries()) {
    assert.ok(Math.abs(seconds - (missing[index] ?? 0)) < 1, `${seconds} s, but ${missing[index]}`)
    assert.ok(name === 'Front' && Date.parse(from) < Date.parse(to))
  }
  t.diagnostic(`noted: ${gaps.map(({ seconds }) => seconds).join(' s, ')} s`)
  t.diagnostic(`missing frames: ${missing.join(' s, ')} s`)
})

function gapsOf(folder: string): GapLine[] {
  const gaps = join(folder, 'data', 'gaps')
  const texts = readdirSync(gaps)
    .sort()
    .map((file) => readFileSync(join(gaps, file), 'utf8'))
  const lines = texts.join('').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as GapLine)
}

/** The holes between the recorded frames, of which there are 25 a second. */
async function missingSeconds(folder: string): Promise<number[]> {
  const recordings = join(folder, 'recordings')
  const files = readdirSync(recordings).filter((file) => file.endsWith('.mp4'))
  const lists = await Promise.all(files.map(async (file) => frameCounters(join(recordings, file))))
  const counters = lists.flat().sort((a, b) => a - b)
  return counters.flatMap((counter, index) => {
    const missing = counter - (counters[index - 1] ?? counter - 1) - 1
    return missing > 0 ? [missing / 25] : []
  })
}

async function ffmpegPid(folder: string): Promise<number> {
  const { runFolder } = readEnvironment({ ENV_FILE: join(folder, '.env') })
  const [holder] = (await new OpenFiles().at([join(runFolder, 'camera-Front.lock')])) ?? []
  assert.ok(holder)
  return holder.pid
}

/** Waits for a line, and for the first segment after it that FFmpeg has finished of itself. */
async function nextSegment(daemon: RunningDaemon, after: RegExp): Promise<void> {
  await daemon.line(after)
  const from = daemon.lines.findLastIndex((line) => after.test(line)) + 1
  await daemon.line(/segment finished .*seconds/, { from })
}
