import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startRtspCamera, type RtspCamera } from '../../demo/rtsp-camera.ts'
import { OpenFiles } from '../../src/daemon/open-files.ts'
import { readEnvironment } from '../../src/daemon/environment.ts'
import { Gaps, type GapLine } from '../../src/segments/gaps.ts'
import { cachedClip } from '../support/clips.ts'
import { frameCounters } from '../support/frame-counter.ts'
import { journalLines } from '../support/journal-lines.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { startRecording } from './recordings.ts'

test('every gap is noted with its reason, and lasts as long as the frames that are missing', async (t) => {
  const folder = await temporaryFolder(t)
  const camera = await startRtspCamera({ clip: await cachedClip() })
  t.after(async () => camera.close())
  const start = async () =>
    startDaemon(t, 'recorder', folder, {
      ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 2 },
      STALL_SECONDS: 3,
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

  // The next FFmpeg gets nothing but sound for a while.
  camera.faults.videoStops = true
  const stopped = first.lines.length
  await first.line(/has stalled: no new video/, { from: stopped })
  await sleep(5000)
  camera.faults.videoStops = false
  await nextSegment(first, /recording started .*(no new video|no video yet)/)

  first.process.kill('SIGKILL')
  await first.ended
  // A second without a frame is the shortest gap.
  await sleep(2000)
  const second = await start()
  await nextSegment(second, /recording started/)
  await second.stop()

  const gaps = await gapsOf(folder)
  assert.deepEqual(
    gaps.map(({ reason }) => reason),
    ['camera refused', 'FFmpeg died', 'camera silent', 'recorder down'],
  )
  const missing = await missingSeconds(join(folder, 'recordings'))
  assert.equal(missing.length, gaps.length, String(missing))
  for (const [index, { seconds, camera: name, from, to }] of gaps.entries()) {
    assert.ok(Math.abs(seconds - (missing[index] ?? 0)) < 1, `${seconds} s, but ${missing[index]}`)
    assert.ok(name === 'Front' && Date.parse(from) < Date.parse(to))
  }
  t.diagnostic(`noted: ${gaps.map(({ seconds }) => seconds).join(' s, ')} s`)
  t.diagnostic(`missing frames: ${missing.join(' s, ')} s`)
})

test('the gap of a camera that describes a stream, and sends nothing of it, is one without video', async (t) => {
  const settings = { SEGMENT_DURATION: 2, STALL_SECONDS: 3 }
  const { camera, daemon, folder } = await startRecording(t, settings)
  await daemon.line(/segment finished/)
  Object.assign(camera.faults, { rtpStops: true, rtcpStops: true })
  camera.disconnectAll()
  await daemon.line(/camera sends no video yet on \/Preview_01_main/)
  // Longer than it took to say so: the reason of a gap is what held longest.
  await sleep(12_000)
  Object.assign(camera.faults, { rtpStops: false, rtcpStops: false })
  await nextSegment(daemon, /recording started .*tries/)
  await daemon.stop()
  assert.deepEqual(
    (await gapsOf(folder)).map(({ reason }) => reason),
    ['no video'],
  )
})

const silence = async (camera: RtspCamera, ms: number): Promise<void> => {
  camera.faults.silent = true
  await sleep(ms)
  camera.faults.silent = false
}
/** As a network does that stalls: what the camera could still hand over comes late, the rest never. */
const stall = async (camera: RtspCamera, ms: number): Promise<void> => {
  camera.faults.holdBack = true
  await sleep(800)
  await silence(camera, ms - 800)
  camera.faults.holdBack = false
}
/** A process that gets no time for seconds, again and again: the machine is busy. */
async function holdUp(daemon: RunningDaemon, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    daemon.process.kill('SIGSTOP')
    await sleep(3000)
    daemon.process.kill('SIGCONT')
    await sleep(1700)
  }
}

test('a gap that is found when the recorder stops is noted before it has stopped', async (t) => {
  const { camera, daemon, folder } = await startRecording(t, { SEGMENT_DURATION: 2 })
  await daemon.line(/segment finished/)
  camera.faults.refuseConnections = true
  camera.disconnectAll()
  await daemon.line(/refuses the connection/)
  camera.faults.refuseConnections = false
  await daemon.line(/recording started .*tries/)
  await daemon.stop()
  assert.deepEqual(
    (await gapsOf(folder)).map(({ reason }) => reason),
    ['camera refused'],
  )
})

const pauses = [
  { kind: 'within a segment', pause: silence },
  { kind: 'with sound that is encoded anew', pause: silence, audio: 'pcma' as const },
  { kind: 'behind frames that came late', pause: stall },
  // What FFmpeg says of it is read when it is long over.
  { kind: 'while the recorder is held up', pause: silence, heldUp: true },
  // With nothing but keyframes the recording goes on in a new one.
  { kind: 'between two segments', pause: silence, gopSeconds: 0.04 },
  { kind: 'in video that is encoded anew', pause: silence, codec: 'h264' },
]
for (const { kind, pause, audio = 'aac', gopSeconds = 1, codec = 'copy', heldUp } of pauses)
  test(`a pause that needs no restart is noted as well: ${kind}`, async (t) => {
    const folder = await temporaryFolder(t)
    const server = await S3Server.start()
    t.after(async () => server.close())
    const camera = await startRtspCamera({ clip: await cachedClip({ gopSeconds, audio }) })
    t.after(async () => camera.close())
    const { bucket, accessKeyId, secretAccessKey } = server.options
    const settings = {
      ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 2 },
      ...{ VIDEO_CODEC: codec, S3_BUCKET_NAME: bucket, S3_ENDPOINT: server.url },
      ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    }
    const recorder = await startDaemon(t, 'recorder', folder, settings)
    const uploader = await startDaemon(t, 'uploader', folder, settings)
    const enough = new AbortController()
    t.after(() => enough.abort())
    const held = heldUp && holdUp(recorder, enough.signal)
    await nextSegment(recorder, /recording started/)
    const [missing, over]: [number[], number[]] = [[], []]
    // FFmpeg's patience with a silent camera is at half after 7.5 s.
    for (const ms of [5000, 8000]) {
      const [before, from] = [camera.frameNow, recorder.lines.length]
      await pause(camera, ms)
      missing.push((camera.frameNow - before) / 25)
      over.push(Date.now())
      // On a busy machine frames come late, which the recorder tells from a pause after half a minute.
      const withinMs = 60_000
      await recorder.line(/segment finished/, { from, withinMs })
      await recorder.line(/segment finished/, { from: recorder.lines.length, withinMs })
      await recorder.line(/segment finished/, { from: recorder.lines.length, withinMs })
    }
    // Something of a segment that has nothing to do with the pause.
    await sleep(1000)
    enough.abort()
    await held
    await recorder.stop()
    for (const line of recorder.lines) {
      const [, file] = /segment finished \(file=([^,]+)/.exec(line) ?? []
      if (file !== undefined) await uploader.line(new RegExp(`${file}: moved to uploaded`))
    }
    const gaps = (await gapsOf(folder)).sort((a, b) => Date.parse(a.from) - Date.parse(b.from))
    // Those of video that is encoded anew have lost their numbers.
    const frames = codec === 'copy' ? await missingSeconds(join(folder, 'uploaded')) : missing
    t.diagnostic(`noted: ${gaps.map(({ seconds }) => seconds).join(' s, ')} s`)
    t.diagnostic(`missing frames: ${frames.join(' s, ')} s`)
    assert.deepEqual(
      gaps.map(({ reason }) => reason),
      ['camera paused', 'camera paused'],
    )
    for (const [index, { seconds, to }] of gaps.entries()) {
      assert.ok(Math.abs(Date.parse(to) - (over[index] ?? 0)) < 2500, `until ${to}`)
      const off = seconds - (frames[index] ?? 0)
      // The camera goes on with its next keyframe.
      assert.ok(codec === 'copy' ? Math.abs(off) < 0.5 : off > -0.5 && off < 1.5, `off by ${off} s`)
    }
    assert.equal(recorder.lines.filter((line) => line.includes('recording started')).length, 1)
    const apart = await soundApart(join(folder, 'uploaded'))
    t.diagnostic(`sound and picture in the last file: ${apart.toFixed(2)} s apart`)
    assert.ok(apart < 1)
  })

/** How far apart sound and picture begin and end in the last file. */
async function soundApart(folder: string): Promise<number> {
  const [last = ''] = readdirSync(folder)
    .filter((file) => file.endsWith('.mp4'))
    .sort()
    .slice(-1)
  const wanted = ['-v', 'error', '-show_entries', 'stream=start_time,duration', '-of', 'csv=p=0']
  const { stdout } = await promisify(execFile)('ffprobe', [...wanted, join(folder, last)])
  const [video = [], sound = []] = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(',').map(Number))
  const [begin = 0, length = 0] = video.map((seconds, index) => seconds - (sound[index] ?? 0))
  return Math.max(Math.abs(begin), Math.abs(begin + length))
}

/** Those that are over; each that began is. */
async function gapsOf(folder: string): Promise<GapLine[]> {
  const journal = join(folder, 'data', 'gaps')
  assert.deepEqual(await new Gaps(journal).stillOpen(), [])
  return journalLines<GapLine>(journal).filter(({ kind, seconds }) => kind === 'gap' && seconds > 0)
}

/** The holes between the recorded frames, of which there are 25 a second. */
async function missingSeconds(folder: string): Promise<number[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.mp4'))
  const lists = await Promise.all(files.map(async (file) => frameCounters(join(folder, file))))
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
