import { Arn, ArnFormat, Stack, type Environment } from "aws-cdk-lib";
import { Key, type IKey } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import type { Settings } from "./settings.js";

const ID = "Key";

/** The existing key that a stack encrypts with, or `undefined` if it uses AWS's own keys. */
export function keyOf(scope: Construct, { kmsKeyArn }: Settings): IKey | undefined {
  if (kmsKeyArn === undefined) return undefined;
  const stack = Stack.of(scope);
  const known = stack.node.tryFindChild(ID) as IKey | undefined;
  return known ?? Key.fromKeyArn(stack, ID, kmsKeyArn);
}

/** The key's account and region. A deployment with its own key must run there. */
export function boundTo({ kmsKeyArn }: Settings): Environment | undefined {
  if (kmsKeyArn === undefined) return undefined;
  const { account, region } = Arn.split(kmsKeyArn, ArnFormat.SLASH_RESOURCE_NAME);
  return { account, region };
}
