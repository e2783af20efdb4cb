import { lstmOdyssey } from "../../reproduce/experiments/lstm-odyssey.ts";
import { shortForms } from "./short-forms.ts";

shortForms(lstmOdyssey);
