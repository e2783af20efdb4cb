import { lstmForget } from "../../reproduce/experiments/lstm-forget.ts";
import { shortForms } from "./short-forms.ts";

shortForms(lstmForget);
