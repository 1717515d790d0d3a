import assert from 'node:assert/strict'
import test from 'node:test'
import { describeObject, objectKey } from '../../src/uploader/object-description.ts'
import { inZone } from '../support/time-zone.ts'

const media = {
  durationSeconds: 600,
  streams: [
    { type: 'video', codec: 'h264', tag: 'avc1', packets: 6000 },
    { type: 'audio', codec: 'aac', tag: 'mp4a', packets: 9000 },
  ],
}
const content = { bytes: 1234, crc32: '0a0b0c0d' }

test('metadata say what the file is', (t) => {
  inZone(t, 'America/New_York')
  const mtimeMs = Date.UTC(2025, 0, 25, 20, 40, 45)
  assert.deepEqual(
    describeObject({ file: 'Front_Door_20250125_153045.mp4', mtimeMs }, content, media),
    {
      camera: 'Front_Door',
      start: '2025-01-25T15:30:45.000-05:00',
      'duration-seconds': '600',
      'video-codec': 'h264',
      'audio-codec': 'aac',
      size: '1234',
      crc32: '0a0b0c0d',
    },
  )
})

test('in the repeated hour of a DST change the offset is the one that fits the mtime', (t) => {
  inZone(t, 'America/New_York')
  const file = 'Front_20251102_013000.mp4'
  const start = (mtimeMs: number): string | undefined =>
    describeObject({ file, mtimeMs }, content, media).start
  const firstEndMs = Date.UTC(2025, 10, 2, 5, 40)
  assert.equal(start(firstEndMs), '2025-11-02T01:30:00.000-04:00')
  assert.equal(start(firstEndMs + 3_600_000), '2025-11-02T01:30:00.000-05:00')
})

test('a file without a camera or a date is described by its mtime', (t) => {
  inZone(t, 'UTC')
  const mtimeMs = Date.UTC(2024, 5, 7, 12, 10)
  const { camera, start } = describeObject({ file: 'holiday.mp4', mtimeMs }, content, media)
  assert.deepEqual([camera, start], ['unknown', '2024-06-07T12:00:00.000+00:00'])
  assert.equal(objectKey('recordings', 'holiday.mp4', mtimeMs), 'recordings/2024/06/07/holiday.mp4')
})

test('metadata travel as headers: what is not ASCII is escaped', () => {
  const { camera } = describeObject(
    { file: 'Éntrée 😀_20250125_153045.mp4', mtimeMs: 0 },
    content,
    media,
  )
  assert.equal(camera, '%C3%89ntr%C3%A9e %F0%9F%98%80')
})

test('the key has no prefix where none is wanted', () => {
  assert.equal(
    objectKey('', 'Front_20250125_153045.mp4', 0),
    '2025/01/25/Front_20250125_153045.mp4',
  )
})
