import { linearAdding } from "../../reproduce/experiments/linear-adding.ts";
import { shortForms } from "./short-forms.ts";

shortForms(linearAdding);
