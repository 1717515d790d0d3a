import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { cachedClip, goingOn } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import {
  assertPlays,
  count,
  countersOf,
  finalizedIn,
  fps,
  lossAround,
  probed,
  recordings,
  recordSeconds,
  secondsUntil,
  startRecorder,
  startRecording,
} from './recordings.ts'

async function streamsOf(file: string): Promise<string> {
  return (await probed(file, 'stream=codec_name,codec_tag_string,width,height')).join(' ')
}

describe('what cameras send', { concurrency: 6 }, () => {
  test('each codec of video with each of sound, or none, and with a metadata track, is recorded and plays', async (t) => {
    const settings: Record<string, string | number> = { SEGMENT_DURATION: 4 }
    const expected = new Map<string, string>()
    for (const video of ['h264', 'hevc'] as const)
      for (const audio of ['aac', 'pcma', 'pcmu', 'none'] as const) {
        const clip = await cachedClip({ video, audio })
        const camera = await startRtspCamera({ clip, metadataTrack: true })
        t.after(async () => camera.close())
        const name = `${video}-${audio}`
        const number = expected.size + 1
        settings[`CAMERA_${number}_NAME`] = name
        settings[`CAMERA_${number}_URL`] = camera.url
        const picture = video === 'h264' ? 'h264,avc1,640,360' : 'hevc,hvc1,640,360'
        expected.set(name, audio === 'none' ? picture : `${picture} aac,mp4a`)
      }
    const folder = await temporaryFolder(t)
    const daemon = await startRecorder(t, folder, String(settings['CAMERA_1_URL']), settings)
    for (const name of expected.keys())
      await daemon.line(new RegExp(`${name}: segment finished`), { withinMs: 60_000 })
    await daemon.stop()
    const finalized = await finalizedIn(folder)
    for (const [name, streams] of expected) {
      const files = finalized.filter((file) => file.includes(`/${name}_`))
      assert.ok(files.length >= 2, name)
      assert.deepEqual(brokenPlaces(await countersOf(files)), [], name)
      for (const file of files) {
        assert.equal(await streamsOf(file), streams)
        await assertPlays(file)
      }
    }
    t.diagnostic([...expected.keys()].join(', '))
  })

  for (const video of ['h264', 'hevc'] as const)
    test(`another size in the middle of a connection, and back, makes files of their own (${video})`, async (t) => {
      const [first, second] = await Promise.all([
        cachedClip({ video, durationSeconds: 4 }),
        cachedClip({ video, width: 322, height: 182, durationSeconds: 4 }),
      ])
      const settings = { SEGMENT_DURATION: 10 }
      const options = { clip: goingOn(first, second) }
      const { camera, daemon, folder } = await startRecording(t, settings, options)
      await daemon.line(/recording started/)
      await recordSeconds(camera, 18)
      await daemon.stop()
      const all = await countersOf(recordings(folder))
      const files = await finalizedIn(folder)
      const shapes = await Promise.all(
        files.map(async (file) => (await streamsOf(file)).split(' ')[0]),
      )
      const tag = video === 'h264' ? 'h264,avc1' : 'hevc,hvc1'
      assert.deepEqual(new Set(shapes), new Set([`${tag},640,360`, `${tag},322,182`]))
      for (const file of files) await assertPlays(file)
      const counters = await countersOf(files)
      assert.deepEqual(brokenPlaces(counters), [])
      assert.equal(counters.length, all.length)
      assert.equal(count(daemon, /recording started/), 1)
      t.diagnostic(shapes.join(', '))
    })

  test('another size, and then another codec, from one connection to the next is recorded, known and plays', async (t) => {
    const { camera, daemon, folder } = await startRecording(t)
    await daemon.line(/recording started \(video=h264, size=640x360/)
    await recordSeconds(camera, 2)
    camera.setClip(await cachedClip({ width: 320, height: 180 }))
    camera.disconnectAll()
    await daemon.line(/recording started \(video=h264, size=320x180/)
    await recordSeconds(camera, 2)
    camera.setClip(await cachedClip({ video: 'hevc', audio: 'pcmu' }))
    camera.disconnectAll()
    await daemon.line(/recording started \(video=hevc, size=640x360/)
    await recordSeconds(camera, 2)
    await daemon.stop()
    const files = await finalizedIn(folder)
    assert.deepEqual(await Promise.all(files.map(streamsOf)), [
      'h264,avc1,640,360 aac,mp4a',
      'h264,avc1,320,180 aac,mp4a',
      'hevc,hvc1,640,360 aac,mp4a',
    ])
    for (const file of files) await assertPlays(file)
    const counters = await Promise.all(files.map(frameCounters))
    const gaps = counters.slice(1).map((list, index) => list[0]! - (counters[index]?.at(-1) ?? 0))
    t.diagnostic(`gaps: ${gaps.map((frames) => (frames / fps).toFixed(1)).join(' s, ')} s`)
  })

  for (const audio of ['aac', 'none'] as const)
    test(`a camera that sends no keyframe for the first 10 s is waited for (sound: ${audio})`, async (t) => {
      const gopSeconds = 12
      const clip = await cachedClip({ gopSeconds, durationSeconds: gopSeconds, audio })
      const { camera, daemon, folder } = await startRecording(t, {}, { clip })
      camera.faults.startsMidGop = true
      await daemon.line(/recording started/, { withinMs: 60_000 })
      await recordSeconds(camera, 2)
      while (camera.frameNow % (gopSeconds * fps) > 5) await sleep(100)
      const faultFrame = camera.frameNow
      const from = daemon.lines.length
      camera.disconnectAll()
      await daemon.line(/has sent no keyframe yet/, { from })
      await daemon.line(/recording started .*no keyframe yet/, { from })
      await recordSeconds(camera, 3)
      await daemon.stop()
      const files = await finalizedIn(folder)
      const counters = await countersOf(files)
      const { afterSeconds } = lossAround(counters, faultFrame)
      const first = counters.find((counter) => counter > faultFrame)
      assert.equal(first! % (gopSeconds * fps), 0, 'it begins with a keyframe')
      for (const file of files) await assertPlays(file)
      assert.equal(count(daemon, /recording started/), 2)
      // At its first connection the keyframe may come at once.
      assert.ok(count(daemon, /WARNING/) <= 3, daemon.lines.join('\n'))
      t.diagnostic(
        `first frame ${afterSeconds.toFixed(1)} s after the camera closed the connection`,
      )
      assert.ok(afterSeconds <= gopSeconds, `${afterSeconds} s`)
    })

  for (const audio of ['aac', 'none'] as const)
    test(`a camera that sends video only 8 s after the connection is waited for (sound: ${audio})`, async (t) => {
      const clip = await cachedClip({ audio })
      const settings = { STALL_SECONDS: 15 }
      const { camera, daemon, folder } = await startRecording(t, settings, { clip })
      camera.faults.videoLateMs = 8000
      const started = await daemon.line(/recording started/, { withinMs: 60_000 })
      await recordSeconds(camera, 8)
      await daemon.stop()
      const counters = await countersOf(recordings(folder))
      assert.deepEqual(brokenPlaces(counters), [])
      assert.equal(count(daemon, /recording started/), 1)
      t.diagnostic(/after=.*/.exec(started)?.[0] ?? 'without a failed try')
      assert.ok(count(daemon, /WARNING/) <= 1, daemon.lines.join('\n'))
    })

  test('a microphone that is off is said once within 60 s, and costs not a frame', async (t) => {
    const camera = await startRtspCamera({ clip: await cachedClip() })
    t.after(async () => camera.close())
    camera.faults.audioStops = true
    const folder = await temporaryFolder(t)
    const daemon = await startRecorder(t, folder, camera.url)
    const seconds = await secondsUntil(
      daemon,
      /WARNING .*recorded without sound .*CAMERA_1_AUDIO=none/,
      { withinMs: 90_000 },
    )
    assert.ok(seconds <= 60, `${seconds} s`)
    camera.faults.audioStops = false
    await daemon.line(/INFO .*sound is recorded/)
    await daemon.stop()
    assert.equal(count(daemon, /WARNING/), 1, daemon.lines.join('\n'))
    assert.deepEqual(brokenPlaces(await countersOf(recordings(folder))), [])
  })
})
