/** The package ships no types. */
declare module "asl-validator" {
  /** Changes the definition that is passed to it. */
  export default function validate(definition: unknown): {
    isValid: boolean;
    errorsText: (separator: string) => string;
  };
}
