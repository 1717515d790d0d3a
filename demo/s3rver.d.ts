// What we use of @20minutes/s3rver, which has no types of its own.
declare module '@20minutes/s3rver' {
  import type { RequestListener } from 'node:http'

  export default class S3rver {
    constructor(options: {
      directory: string
      silent: boolean
      vhostBuckets: boolean
      configureBuckets: { name: string }[]
    })
    configureBuckets(): Promise<void>
    callback(): RequestListener
    logger: { exceptions: { unhandle(): void }; close(): void }
  }
}

declare module '@20minutes/s3rver/lib/models/account.js' {
  /** The one account that every request is made by. */
  export const DUMMY_ACCOUNT: {
    createKeyPair(accessKeyId: string, secretAccessKey: string): void
    revokeAccessKey(accessKeyId: string): void
  }
}
